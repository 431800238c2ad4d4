//! What went wrong, said once and where it happened.

use super::{Sign, icon};
use protocol::Problem;
use yew::prelude::*;

pub fn problem_line(problem: Option<&Problem>) -> Html {
    let Some(problem) = problem else {
        return Html::default();
    };
    html! {
        <div class="problem" role="alert" data-testid="problem" data-code={problem.code.to_string()}>
            { icon(Sign::Warning) }
            <p>
                { problem.sentence() }
                if let Some(seconds) = problem.retry_after {
                    { format!(" Try again in {}.", wait(seconds)) }
                }
                if let Some(id) = &problem.request_id {
                    <small class="problem-id">{ "Number: " }<code dir="ltr">{ id }</code></small>
                }
            </p>
        </div>
    }
}

fn wait(seconds: u32) -> String {
    match seconds {
        0 | 1 => "a second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}
