"""Command line: parse, wire, call one function, print."""
