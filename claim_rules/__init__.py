"""What a claim is and what makes it payable: dictionary, law, rules, outcome. Pure: no I/O beyond its own data."""
