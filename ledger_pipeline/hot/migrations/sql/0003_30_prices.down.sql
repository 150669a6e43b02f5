DROP TABLE price_reviews;
ALTER TABLE price_sources DROP COLUMN faults;
