"""What the programs in benchmarks/ share: clocks, the machine, networks, competitors, files."""
