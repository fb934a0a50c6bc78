-- The logins of the processes, one each. They belong to the server and not to a database, so that a dump has none of
-- them. `beacon migrate` makes the missing ones before it migrates; an owner without CREATEROLE asks an administrator
-- to run this file. They have no password here: `beacon up` sets one, an operator with \password.
CREATE ROLE beacon_api LOGIN NOINHERIT;
CREATE ROLE beacon_publisher LOGIN NOINHERIT;
CREATE ROLE beacon_worker LOGIN NOINHERIT;
