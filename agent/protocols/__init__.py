"""Projections of the event log on wire protocols. Data in, data out: no sockets, no clock."""
