-- Wrong codes since the last that was right, or since their owner was told of such, and when that was. Whoever gets as far as to
-- give one has shown the first step.
alter table second_factors
    add column wrong_in_a_row smallint not null default 0,
    add column told_at timestamptz;
