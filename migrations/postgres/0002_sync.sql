-- What people keep: sessions, messages, and the change feed over them.
-- Every key begins with user_id: an id of somebody else's is simply another row.

-- The serialisation point of a user's writes, locked first in each. fillfactor leaves room for HOT updates.
create table sync_heads (
    user_id   uuid   primary key references users (id) on delete cascade,
    epoch     uuid   not null default gen_random_uuid(),
    head_seq  bigint not null default 0,
    floor_seq bigint not null default 0,
    check (floor_seq <= head_seq)
) with (fillfactor = 50);

-- Everybody has a head from the first moment on.
create function sync_head_of_new_user() returns trigger language plpgsql as $$
begin
    insert into sync_heads (user_id) values (new.id);
    return new;
end
$$;
create trigger users_have_heads after insert on users for each row execute function sync_head_of_new_user();

-- What people keep hangs from the head's row and not from the user's: each write has locked that one already.
create table agent_sessions (
    user_id        uuid        not null references sync_heads (user_id) on delete cascade,
    id             uuid        not null,
    seq            bigint      not null,
    created_seq    bigint      not null,
    title          varchar(255) not null default '',
    title_by_user  boolean     not null default false,
    title_seq      bigint      not null default 0,
    workspace_path text        not null,
    archived       boolean     not null default false,
    last_ord       bigint      not null default 0,
    preview        text        not null default '',
    -- replies being made or waiting to be made; the first may begin at once
    live_runs      int         not null default 0 check (live_runs >= 0),
    last_active    timestamptz not null default now(),
    created_at     timestamptz not null default now(),
    deleted_at     timestamptz,
    primary key (user_id, id)
);
create unique index agent_sessions_seq on agent_sessions (user_id, seq);
create index agent_sessions_recent on agent_sessions (user_id, archived, last_active desc, id desc) where deleted_at is null;

-- Messages.
create table conversations (
    user_id          uuid        not null,
    id               uuid        not null,
    agent_session_id uuid        not null,
    seq              bigint      not null,
    created_seq      bigint      not null,
    ord              bigint      not null,
    parent_id        uuid,
    role             varchar(20) not null check (role in ('user', 'assistant', 'system')),
    status           smallint    not null default 2,
    run_id           uuid,
    content          text        not null default '',
    metadata         jsonb       not null default '{}',
    created_at       timestamptz not null default now(),
    deleted_at       timestamptz,
    primary key (user_id, id),
    unique (user_id, agent_session_id, ord),
    foreign key (user_id, agent_session_id) references agent_sessions (user_id, id) on delete cascade
);
create unique index conversations_seq on conversations (user_id, seq);

-- The ledger: one outcome for each mutation id.
create table mutations (
    user_id     uuid        not null references sync_heads (user_id) on delete cascade,
    mutation_id uuid        not null,
    device_id   uuid,
    request     bytea       not null, -- SHA-256 of the op
    outcome     jsonb       not null,
    seq         bigint      not null,
    created_at  timestamptz not null default now(),
    primary key (user_id, mutation_id)
);
create index mutations_created on mutations (created_at);

create table runs (
    user_id          uuid        not null,
    run_id           uuid        not null,
    session_id       uuid        not null,
    message_id       uuid        not null,
    -- the message that is answered
    prompt_id        uuid        not null,
    attempt          int         not null default 0,
    status           smallint    not null, -- as protocol::run::Status
    owner_node       text,
    lease_until      timestamptz,
    cancel_requested boolean     not null default false,
    -- checkpoint, without a change number
    ck_attempt       int,
    ck_idx           bigint,
    ck_text          text,
    ck_at            timestamptz,
    created_at       timestamptz not null default now(),
    primary key (user_id, run_id),
    -- a retried request cannot start two generations
    unique (user_id, message_id),
    foreign key (user_id, message_id) references conversations (user_id, id) on delete cascade
) with (fillfactor = 60);
create index runs_session on runs (user_id, session_id) where status in (0, 1);
create index runs_waiting on runs (created_at) where status = 0;
create index runs_leased on runs (lease_until) where status = 1;

-- Gives out n change numbers and returns the first. The row lock makes commit order and number order one.
create function sync_alloc(of_user uuid, n bigint) returns bigint language sql as $$
    update sync_heads set head_seq = head_seq + n where user_id = of_user returning head_seq - n + 1
$$;

-- Undoes the whole statement that it stands in, with a code of our own, unless what the statement rests on holds.
create function sync_require(holds boolean, what text) returns boolean language plpgsql as $$
begin
    if holds is not true then
        raise exception using errcode = 'CM001', message = what;
    end if;
    return true;
end
$$;
