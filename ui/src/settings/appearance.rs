//! How it looks, on this device only.

use crate::state::keep::{Theme, choose_theme, theme};
use yew::prelude::*;

#[component]
pub fn Appearance() -> Html {
    let chosen = use_state(theme);
    html! {
        <section aria-labelledby="appearance">
            <h2 id="appearance">{ "Appearance" }</h2>
            <div class="choices" role="radiogroup" aria-labelledby="appearance">
                for theme in Theme::ALL {
                    <label class="choice" key={theme.word()}>
                        <input
                            type="radio"
                            name="theme"
                            checked={*chosen == theme}
                            data-testid={format!("theme-{}", theme.word())}
                            onchange={
                                let chosen = chosen.clone();
                                Callback::from(move |_: Event| {
                                    choose_theme(theme);
                                    chosen.set(theme);
                                })
                            }
                        />
                        <span>{ theme.label() }</span>
                    </label>
                }
            </div>
        </section>
    }
}
