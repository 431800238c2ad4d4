-- Whether a browser stays signed in beyond its window: its person said so at the door. Those from before do, as they were told.
alter table sessions add column stays boolean not null default true;
-- Between the steps of a sign-in: what was said at the first.
alter table challenges add column stays boolean not null default false;
