-- What happened at the door, a table for each outcome and month: what is old goes with its table, and not row by row. What was
-- noted stays as it is, but that whoever is gone is unnamed.
create sequence audit_events_ids;
alter table audit_events rename to audit_events_before;
alter table audit_events_before rename constraint audit_events_pkey to audit_events_before_pkey;
drop index audit_events_user, audit_events_done, audit_events_old;

create table audit_events (
    id         bigint      not null default nextval('audit_events_ids'),
    at         timestamptz not null default now(),
    user_id    uuid,
    device_id  uuid,
    event      text        not null,
    outcome    text        not null,
    reason     text,
    -- network prefix, not the address
    ip_prefix  text,
    request_id text,
    operator   text        check (char_length(operator) between 1 and 100),
    -- a partition is chosen by the last two
    primary key (id, at, outcome)
) partition by list (outcome);
create table audit_events_done partition of audit_events for values in ('done') partition by range (at);
create table audit_events_refused partition of audit_events for values in ('refused') partition by range (at);
create index audit_events_user on audit_events (user_id, at desc);

-- Makes the tables for each month between the two that are not there yet; how many. Months are those of UTC. Whoever notes
-- something meanwhile does not wait: a table is made by itself, and then attached.
--
-- With its owner's rights: a server that may not make tables would have nowhere to note a sign-in, and nobody could sign in.
create function audit_events_make_room(since timestamptz, until timestamptz) returns int
language plpgsql security definer set search_path from current set lock_timeout = '2s' as $$
declare
    kind  text;
    month timestamp;
    name  text;
    made  int := 0;
begin
    perform pg_advisory_xact_lock(hashtext('audit_events_make_room'));
    foreach kind in array array['done', 'refused'] loop
        for month in select generate_series(date_trunc('month', since at time zone 'UTC'), until at time zone 'UTC', '1 month') loop
            name := format('audit_events_%s_%s', kind, to_char(month, 'YYYY_MM'));
            continue when to_regclass(name) is not null;
            execute format('create table %I (like audit_events including defaults including constraints)', name);
            execute format('alter table audit_events_%s attach partition %I for values from (%L) to (%L)',
                kind, name, month at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
            made := made + 1;
        end loop;
    end loop;
    return made;
end $$;

-- Takes the tables away all of whose rows are older than so many days; how many.
create function audit_events_forget(kind text, days int) returns int
language plpgsql security definer set search_path from current set lock_timeout = '2s' as $$
declare
    name text;
    gone int := 0;
    kept text := format('audit_events_%s_%s', kind,
        to_char((now() - make_interval(days => days)) at time zone 'UTC', 'YYYY_MM'));
begin
    perform pg_advisory_xact_lock(hashtext('audit_events_make_room'));
    -- by their names, which sort as the months do
    for name in select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
                 where i.inhparent = format('audit_events_%s', kind)::regclass and c.relname < kept loop
        execute format('alter table audit_events_%s detach partition %I', kind, name);
        execute format('drop table %I', name);
        gone := gone + 1;
    end loop;
    return gone;
end $$;

select audit_events_make_room((select coalesce(min(at), now()) from audit_events_before),
    (select greatest(max(at), now()) from audit_events_before) + interval '3 months');
insert into audit_events (id, at, user_id, device_id, event, outcome, reason, ip_prefix, request_id, operator)
    select id, at, user_id, device_id, event, outcome, reason, ip_prefix, request_id, operator from audit_events_before;
select setval('audit_events_ids', (select coalesce(max(id), 0) + 1 from audit_events_before), false);
drop table audit_events_before;

create function audit_events_stay() returns trigger language plpgsql as $$
begin
    -- somebody is gone: who, from where and on what is taken out, and nothing else
    if tg_op = 'UPDATE' then
        if (new.id, new.at, new.event, new.outcome, new.reason, new.operator)
            is not distinct from (old.id, old.at, old.event, old.outcome, old.reason, old.operator)
            and new.device_id is null and new.ip_prefix is null and new.request_id is null
            and old.user_id is not null and new.user_id is not null then
            return new;
        end if;
    end if;
    raise exception 'what is noted in audit_events is neither changed nor removed' using errcode = 'restrict_violation';
end $$;
create trigger audit_events_stay before update or delete on audit_events
    for each row execute function audit_events_stay();
create trigger audit_events_stay_whole before truncate on audit_events
    for each statement execute function audit_events_stay();
