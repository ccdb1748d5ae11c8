"""`./dev demo`: the real function app between a simulated tenant and four simulated vendors, and a judge at the end."""
