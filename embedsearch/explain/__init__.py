"""Why a hit is as near as it is."""
