-- Joins a table of addresses with ipwarden's networks.
--
--   ipwarden data export --format csv --fields network,location.country_code,asn.number,asn.name,security.is_anonymous -o world.csv
--   duckdb log.db <duckdb.sql

-- An IPv4 address as a number, NULL for anything else.
CREATE OR REPLACE MACRO ipv4(a) AS (
  CASE WHEN regexp_full_match(a, '\d{1,3}(\.\d{1,3}){3}') THEN
    split_part(a, '.', 1)::UBIGINT * 16777216 + split_part(a, '.', 2)::UBIGINT * 65536 + split_part(a, '.', 3)::UBIGINT * 256 + split_part(a, '.', 4)::UBIGINT
  END);

CREATE OR REPLACE TABLE networks AS
  SELECT ipv4(split_part(network, '/', 1)) AS first,
    ipv4(split_part(network, '/', 1)) + (1::UBIGINT << (32 - split_part(network, '/', 2)::INT)) - 1 AS last,
    * EXCLUDE network
  FROM read_csv('world.csv', header = true, all_varchar = true)
  WHERE network NOT LIKE '%:%'
  ORDER BY first;

-- Networks do not overlap, so only the last one that begins at or before an address
-- can hold it.
CREATE OR REPLACE VIEW enriched AS
  SELECT requests.*, CASE WHEN ipv4(requests.ip) <= n.last THEN n."location.country_code" END AS country,
    CASE WHEN ipv4(requests.ip) <= n.last THEN n."asn.number" END AS asn, CASE WHEN ipv4(requests.ip) <= n.last THEN n."asn.name" END AS as_name,
    ipv4(requests.ip) <= n.last AND n."security.is_anonymous" = 'true' AS anonymous
  FROM requests ASOF LEFT JOIN networks n ON ipv4(requests.ip) >= n.first;

SELECT country, count(*) AS requests, count(DISTINCT ip) AS addresses FROM enriched GROUP BY country ORDER BY requests DESC, country;
