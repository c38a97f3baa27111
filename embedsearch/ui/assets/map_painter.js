// Dots on a canvas: by WebGL, or where a browser has none, by its 2D context, which is slower. WebGL draws on a canvas
// of its own, which is copied: browsers without a GPU show only a part of such a canvas once the page is scrolled.
const VERTEX = `
attribute vec2 place;
attribute vec4 shade;
uniform vec2 scale, shift;
uniform mediump float size, strong;
varying lowp vec4 colour;
void main() {
  bool drawn = shade.a > 0.0 && (shade.a > 0.5) == (strong > 0.5);
  colour = shade;
  gl_Position = drawn ? vec4(place * scale + shift, 0.0, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = size + 1.0;
}`;
const FRAGMENT = `
precision mediump float;
uniform mediump float size;
varying lowp vec4 colour;
void main() {
  float inside = clamp(size / 2.0 + 0.5 - length(gl_PointCoord - 0.5) * (size + 1.0), 0.0, 1.0);
  gl_FragColor = vec4(colour.rgb, 1.0) * (colour.a * inside);
}`;

// the dots in an order whose beginnings are spread over all of them: by steps of the golden section
const spread = (count) => {
  const common = (a, b) => (b ? common(b, a % b) : a);
  let step = Math.max(1, Math.round(count * 0.618034));
  while (common(count, step) > 1) step++;
  const order = new Uint32Array(count);
  for (let i = 1; i < count; i++) order[i] = (order[i - 1] + step) % count;
  return order;
};

class Painter {
  constructor(canvas, redraw) {
    this.canvas = canvas;
    this.places = this.shades = null; // in the order of drawing
    this.flat = canvas.getContext("2d");
    this.source = document.createElement("canvas");
    this.gl = this.source.getContext("webgl", { antialias: false });
    if (!this.gl) return;
    this.source.addEventListener("webglcontextlost", (event) => event.preventDefault());
    this.source.addEventListener("webglcontextrestored", () => {
      this.prepare();
      if (this.places) this.fill("place", this.places);
      if (this.shades) this.fill("shade", this.shades);
      redraw();
    });
    this.prepare();
  }

  prepare() {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.uniforms = Object.fromEntries(["scale", "shift", "size", "strong"]
      .map((name) => [name, gl.getUniformLocation(program, name)]));
    for (const [name, count, type] of [["place", 2, gl.FLOAT], ["shade", 4, gl.UNSIGNED_BYTE]]) {
      const at = gl.getAttribLocation(program, name);
      this[`${name}Buffer`] = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, this[`${name}Buffer`]);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, count, type, type === gl.UNSIGNED_BYTE, 0, 0);
    }
  }

  // x and y of each dot: Float32Array (2 n)
  place(places) {
    this.order = spread(places.length / 2);
    this.places = new Float32Array(places.length);
    this.order.forEach((i, at) => {
      this.places[2 * at] = places[2 * i];
      this.places[2 * at + 1] = places[2 * i + 1];
    });
    this.fill("place", this.places);
  }

  // red, green, blue and opacity of each dot: Uint8Array (4 n); faint dots lie below the others
  shade(shades) {
    const whole = new Uint32Array(shades.buffer);
    this.shades = new Uint8Array(Uint32Array.from(this.order, (i) => whole[i]).buffer);
    this.faint = shades.some((each, at) => at % 4 === 3 && each > 0 && each < 128);
    this.fill("shade", this.shades);
  }

  fill(name, values) {
    if (!this.gl) return;
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this[`${name}Buffer`]);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, values, this.gl.DYNAMIC_DRAW);
  }

  // a place p lies at pixel (ax p.x + bx, ay p.y + by); sizes are in pixels of the page; `share` of the dots, to 1
  draw(width, height, ratio, [ax, ay, bx, by], size, share) {
    const { canvas, flat, gl, source } = this;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    const count = this.places ? Math.ceil(share * this.places.length / 2) : 0;
    flat.clearRect(0, 0, wide, high);
    if (!gl) return this.drawFlat(wide, high, [ax, ay, bx, by].map((each) => each * ratio), size * ratio, count);
    if (source.width !== wide || source.height !== high) [source.width, source.height] = [wide, high];
    gl.viewport(0, 0, wide, high);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(this.uniforms.scale, 2 * ax / width, -2 * ay / height);
    gl.uniform2f(this.uniforms.shift, 2 * bx / width - 1, 1 - 2 * by / height);
    gl.uniform1f(this.uniforms.size, size * ratio);
    for (const strong of this.faint ? [0, 1] : [1]) {
      gl.uniform1f(this.uniforms.strong, strong);
      gl.drawArrays(gl.POINTS, 0, count);
    }
    flat.drawImage(source, 0, 0);
  }

  drawFlat(wide, high, [ax, ay, bx, by], size, count) {
    const { flat, places, shades } = this;
    for (const strong of [false, true]) {
      let last = -1;
      for (let i = 0; i < count; i++) {
        const [r, g, b, a] = shades.subarray(4 * i, 4 * i + 4);
        const [x, y] = [ax * places[2 * i] + bx, ay * places[2 * i + 1] + by];
        if (!a || (a > 127) !== strong || x < 0 || y < 0 || x > wide || y > high) continue;
        const code = ((r * 256 + g) * 256 + b) * 256 + a;
        if (code !== last) flat.fillStyle = `rgb(${r} ${g} ${b} / ${a / 255})`;
        last = code;
        flat.fillRect(x - size / 2, y - size / 2, size, size);
      }
    }
  }

  end() {
    this.gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
