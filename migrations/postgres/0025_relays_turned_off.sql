-- An address may also be one whose relay says that it brings no letters to its person.
alter table suppressions drop constraint suppressions_reason_check;
alter table suppressions
    add constraint suppressions_reason_check check (reason in ('refused', 'operator', 'relay'));
