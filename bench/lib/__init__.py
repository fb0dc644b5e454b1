"""What the groups of cases share: the machine, the servers, the load, the arithmetic, the document."""
