-- A letter may also let somebody choose a new password.
alter table verification_tokens drop constraint verification_tokens_purpose_check;
alter table verification_tokens add constraint verification_tokens_purpose_check check (purpose in ('verify', 'reset'));
