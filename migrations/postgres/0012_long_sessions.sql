-- A session belongs to one user, which the planner cannot know: it took both conditions for independent, expected two or three
-- messages in a session of thousands, and read and sorted all of them to show the last page.
create statistics conversations_of_session (dependencies) on user_id, agent_session_id from conversations;
