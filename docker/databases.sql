-- Beside POSTGRES_DB, which holds the trips: the database of the Prefect server.
CREATE DATABASE prefect;
