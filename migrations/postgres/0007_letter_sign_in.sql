-- A letter may also sign its reader in.
alter table verification_tokens drop constraint verification_tokens_purpose_check;
alter table verification_tokens
    add constraint verification_tokens_purpose_check check (purpose in ('verify', 'reset', 'sign_in'));
