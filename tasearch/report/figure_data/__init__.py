"""What each figure shows, as frozen values: tests check these, `figures` only draws them, JSON and CSV hold them."""
