"""What the ledger does in a second, beside what the database does bare."""
