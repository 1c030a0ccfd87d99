"""The appraisal rules, one module per family; `claim_rules.catalogue.book()` gathers them."""
