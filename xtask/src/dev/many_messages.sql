-- Gives one person many messages, in sessions of a hundred, beside what they have. As every write it takes the head first.
begin;

create temporary table many on commit drop as
    with head as (
        update sync_heads
           set head_seq = head_seq + (:messages + 99) / 100 * 101
         where user_id = (select id from users where email_key = lower(:'email'))
     returning user_id, head_seq - (:messages + 99) / 100 * 101 as start
    )
    select user_id, gen_random_uuid() as id, start + (n - 1) * 101 + 1 as seq, n
      from head, generate_series(1, (:messages + 99) / 100) n;

insert into agent_sessions
    (user_id, id, seq, created_seq, title, workspace_path, last_ord, preview, created_at, last_active)
select user_id, id, seq, seq, 'Matter number ' || n, :'workspaces' || '/' || user_id || '/' || id, 100,
       'That is all about matter ' || n || '.', now() - n * interval '1 hour', now() - n * interval '1 hour'
  from many;

insert into conversations (user_id, id, agent_session_id, seq, created_seq, ord, role, content, created_at)
select many.user_id, gen_random_uuid(), many.id, many.seq + k, many.seq + k, k,
       case k % 2 when 1 then 'user' else 'assistant' end,
       case k % 2
           when 1 then 'Question ' || k || ' of matter ' || many.n || ': what is to be done about the '
           else 'Answer ' || k || ' of matter ' || many.n || '. First look at the '
       end
       || (array['harbour','lighthouse','ledger','garden','engine','bridge','archive','signal','orchard','workshop'])
              [1 + (many.n * 7 + k) % 10]
       || repeat(', and then at what lies beside it', k % 12) || '.',
       now() - many.n * interval '1 hour' + k * interval '30 seconds' - interval '50 minutes'
  from many, generate_series(1, 100) k;

commit;

analyze agent_sessions;
analyze conversations;
