"""Wire formats that several venues share; no venue themselves, so `names` passes them over."""
