-- The database of the Prefect server; POSTGRES_DB is the one with the trips.
CREATE DATABASE prefect;
