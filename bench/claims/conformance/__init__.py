"""Asks each server, by raw sockets, for what people rely on: see README.md."""
