-- Which key (RFC 7638 thumbprint) whoever began a sign-in has to show when it ends (RFC 9449). Null: a program that has none.
-- `sessions.dpop_jkt` is there from the beginning: it is what a device's refresh token is bound to.
alter table oauth_codes add column dpop_jkt text;
alter table device_codes add column dpop_jkt text;
alter table challenges add column dpop_jkt text;
