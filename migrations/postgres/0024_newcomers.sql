-- A letter may also prove an address for which a provider does not vouch.
alter table verification_tokens drop constraint verification_tokens_purpose_check;
alter table verification_tokens
    add constraint verification_tokens_purpose_check check (purpose in ('verify', 'reset', 'sign_in', 'newcomer'));
