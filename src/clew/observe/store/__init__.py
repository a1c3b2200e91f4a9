"""ClickHouse, embedded or remote: opening, migrations, views, the owner process."""
