"""Dashboards answered: what each panel of clew.model.dashboards asks of the other questions of this room, and how its answer is made of theirs."""
