//! One sort for everything that a page puts in order: one of its own for each type would be a fiftieth of the page.

/// The least first, by a number and a second one where that is the same; what is alike in both stays as it was.
pub fn by<T>(items: Vec<T>, place: impl Fn(&T) -> (i64, u128)) -> Vec<T> {
    let numbered = items.iter().enumerate().map(|(n, item)| (place(item), n));
    let mut places: Vec<((i64, u128), usize)> = numbered.collect();
    places.sort_unstable();
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    let in_order = places.into_iter().filter_map(|(_, n)| items.get_mut(n)?.take());
    in_order.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_stable_sort_by_that_key(items in prop::collection::vec((-3_i64..3, 0_u128..3, any::<u8>()), 0..40)) {
            let mut wanted = items.clone();
            wanted.sort_by_key(|(first, second, _)| (*first, *second));
            prop_assert_eq!(by(items, |(first, second, _)| (*first, *second)), wanted);
        }
    }
}
