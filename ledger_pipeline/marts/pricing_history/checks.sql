-- A price holds for some time, and was known for some time.
SELECT price_id, valid_from, valid_to, known_from, known_to
FROM marts.pricing_history
WHERE valid_to <= valid_from OR known_to <= known_from;
