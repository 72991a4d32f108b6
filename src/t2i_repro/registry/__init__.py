"""What the papers print: tables, systems, claims."""
