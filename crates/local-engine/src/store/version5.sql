-- What the sources of a dataset gave when they were looked at last, as JSON; none: they were not looked at.
ALTER TABLE asset ADD COLUMN last_check TEXT;
