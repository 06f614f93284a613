"""Parts of micc_table1.py and synthetic_micc.py: the data set, its people, their errors, the tables; and its twin."""
