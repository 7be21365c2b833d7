"""Who answers: search providers and page providers, each behind one small interface."""
