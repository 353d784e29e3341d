"""What a month of trips is: schemas, months, the view over yellow and green."""
