-- The dictionary of clickhouse.xml in SQL, for ClickHouse from 20.1 on.
--
--   ipwarden data export --format csv --fields network,location.country_code,asn.number,asn.name,security.is_anonymous -o /var/lib/clickhouse/user_files/world.csv

CREATE DICTIONARY ipwarden
(
    network String,
    `location.country_code` String DEFAULT '',
    `asn.number` UInt32 DEFAULT 0,
    `asn.name` String DEFAULT '',
    `security.is_anonymous` String DEFAULT 'false'
)
PRIMARY KEY network
SOURCE(FILE(path '/var/lib/clickhouse/user_files/world.csv' format 'CSVWithNames'))
LAYOUT(IP_TRIE)
LIFETIME(3600);

SELECT dictGet('ipwarden', 'location.country_code', tuple(IPv4StringToNum(ip))) AS country, count() AS requests, uniqExact(ip) AS addresses
FROM requests GROUP BY country ORDER BY requests DESC;
