//! The list of a tab: filtered and sorted rows, cursor and scroll position.

use std::{borrow::Cow, collections::HashMap};

use pool_shared::{ClientKey, KeyId, PoolId, PoolStatsRow};

use super::{
    columns::{self, Column, Field},
    data::{Data, Keys, Recent},
    filter::Filter,
    format::ratio,
    record::Record,
};

/// The tabs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Tab {
    #[default]
    Pools,
    Keys,
    Models,
    Events,
    ClientKeys,
}

impl Tab {
    /// All tabs, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Pools, Self::Keys, Self::Models, Self::Events, Self::ClientKeys];

    /// Returns its title.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Pools => "Pools",
            Self::Keys => "Keys",
            Self::Models => "Models",
            Self::Events => "Events",
            Self::ClientKeys => "Client keys",
        }
    }

    /// Returns its columns.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Pools => columns::POOLS,
            Self::Keys => columns::KEYS,
            Self::Models => columns::MODELS,
            Self::Events => columns::EVENTS,
            Self::ClientKeys => columns::CLIENT_KEYS,
        }
    }

    /// Returns `true` if it shows one pool, which must be open.
    pub const fn needs_pool(self) -> bool {
        matches!(self, Self::Keys | Self::Models | Self::ClientKeys)
    }

    const fn first_order(self) -> Sort {
        match self {
            Self::Pools | Self::Models => Sort { field: Field::Requests, descending: true },
            Self::Keys => Sort { field: Field::State, descending: true },
            Self::Events => Sort { field: Field::At, descending: true },
            Self::ClientKeys => Sort { field: Field::Created, descending: true },
        }
    }
}

/// The sort order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The field.
    pub field: Field,
    /// Descending order.
    pub descending: bool,
}

/// A tab's list.
#[derive(Clone, Debug)]
pub struct List {
    /// The tab.
    pub tab: Tab,
    /// The sort order.
    pub sort: Sort,
    /// The filter.
    pub filter: Filter,
    /// The listed rows, as indices into the data.
    pub rows: Vec<usize>,
    /// Number of rows before the filter.
    pub total: usize,
    /// Index of the cursor in `rows`.
    pub cursor: usize,
    /// Index of the first visible row.
    pub top: usize,
    /// Id of the selected row; empty for rows without an id.
    selected: String,
}

impl List {
    /// Creates an empty list.
    pub fn new(tab: Tab) -> Self {
        Self {
            tab,
            sort: tab.first_order(),
            filter: Filter::default(),
            rows: Vec::new(),
            total: 0,
            cursor: 0,
            top: 0,
            selected: String::new(),
        }
    }

    /// Rebuilds the rows. The cursor stays on its row.
    pub fn refresh(&mut self, data: &Data, pool: Option<&PoolId>, height: usize) {
        let records = Records::new(self.tab, data, pool);
        self.total = (0..records.len()).filter(|place| records.belongs(*place)).count();
        let passes = |place: &usize| {
            records.belongs(*place)
                && (self.filter.is_empty()
                    || records.get(*place).is_some_and(|row| self.filter.matches(&row)))
        };
        self.rows = (0..records.len()).filter(passes).collect();
        if !(self.tab == Tab::Events && self.sort.field == Field::At) {
            self.order(&records);
        } else if self.sort.descending {
            self.rows.reverse();
        }
        let found = self.rows.iter().position(|place| {
            !self.selected.is_empty() && records.get(*place).is_some_and(|row| row.id() == self.selected)
        });
        self.cursor = found.unwrap_or(self.cursor);
        self.settle(data, pool, height);
    }

    /// Moves the cursor to a row, at most the last one.
    pub fn move_to(&mut self, cursor: usize, data: &Data, pool: Option<&PoolId>, height: usize) {
        self.cursor = cursor;
        self.settle(data, pool, height);
    }

    /// Returns the selected row.
    pub fn current<'a>(&self, records: &Records<'a>) -> Option<Record<'a>> {
        self.rows.get(self.cursor).and_then(|place| records.get(*place))
    }

    /// Sorts the rows. Stable; unknown values are last in both directions.
    fn order(&mut self, records: &Records) {
        let Sort { field, descending } = self.sort;
        let key = |place: usize| records.get(place).and_then(|row| row.value(field).key());
        let mut keyed: Vec<_> = self.rows.iter().map(|place| (key(*place), *place)).collect();
        keyed.sort_by(|(left, _), (right, _)| {
            let known = left.is_none().cmp(&right.is_none());
            known.then_with(|| if descending { right.cmp(left) } else { left.cmp(right) })
        });
        self.rows = keyed.into_iter().map(|(_, place)| place).collect();
    }

    fn settle(&mut self, data: &Data, pool: Option<&PoolId>, height: usize) {
        self.cursor = self.cursor.min(self.rows.len().saturating_sub(1));
        let lowest = (self.cursor + 1).saturating_sub(height.max(1));
        let longest = self.rows.len().saturating_sub(height.max(1));
        self.top = self.top.clamp(lowest, self.cursor.max(lowest)).min(longest);
        let records = Records::new(self.tab, data, pool);
        self.selected = self.current(&records).map(|row| row.id().to_owned()).unwrap_or_default();
    }
}

/// The rows of a tab, created on demand.
pub struct Records<'a> {
    tab: Tab,
    data: &'a Data,
    pool: Option<&'a PoolId>,
    /// Number of attempts of all rows.
    attempts: u64,
    /// Statistics by pool.
    counted: HashMap<&'a PoolId, &'a PoolStatsRow>,
    /// Masked keys by id, for events.
    masked: HashMap<&'a KeyId, &'a str>,
}

impl<'a> Records<'a> {
    /// Creates the rows of a tab, of one pool if it is open.
    pub fn new(tab: Tab, data: &'a Data, pool: Option<&'a PoolId>) -> Self {
        let mut records =
            Self { tab, data, pool, attempts: 0, counted: HashMap::new(), masked: HashMap::new() };
        match tab {
            Tab::Keys | Tab::Models => {
                records.attempts = records.recent().map_or(0, |recent| recent.stats.total.attempts);
            }
            Tab::Events => {
                let rows = data.keys.iter().flat_map(|keys| &keys.rows);
                records.masked = rows.map(|row| (&row.key.id, row.key.masked.as_str())).collect();
            }
            Tab::Pools => {
                let rows = data.overview.iter().flat_map(|overview| &overview.stats.pools);
                records.counted = rows.map(|row| (&row.pool, row)).collect();
            }
            Tab::ClientKeys => {}
        }
        records
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        match self.tab {
            Tab::Pools => self.data.pools().len(),
            Tab::Keys => self.keys().map_or(0, |keys| keys.rows.len()),
            Tab::Models => self.recent().map_or(0, |recent| recent.stats.models.len()),
            Tab::Events => self.data.events.len(),
            Tab::ClientKeys => self.client_keys().len(),
        }
    }

    /// Returns `true` if the data of the tab has been fetched, even if it is empty.
    pub fn known(&self) -> bool {
        match self.tab {
            Tab::Pools => self.data.overview.is_some(),
            Tab::Keys => self.keys().is_some(),
            Tab::Models => self.recent().is_some(),
            Tab::Events => self.data.cursor.is_some(),
            Tab::ClientKeys => {
                self.data.client_keys.as_ref().is_some_and(|(pool, _)| Some(pool) == self.pool)
            }
        }
    }

    /// Returns `true` if the row belongs to the open pool; events are kept for all pools.
    fn belongs(&self, place: usize) -> bool {
        match (self.tab, self.pool) {
            (Tab::Events, Some(pool)) => self.data.events.get(place).is_some_and(|event| event.pool == *pool),
            _ => true,
        }
    }

    /// Returns a row.
    pub fn get(&self, place: usize) -> Option<Record<'a>> {
        match self.tab {
            Tab::Pools => {
                let overview = self.data.overview.as_ref()?;
                let pool = overview.pools.get(place)?;
                let stats = self.counted.get(&pool.id).copied();
                Some(Record::Pool(pool, stats, self.data.recent.get(&pool.id).map(AsRef::as_ref)))
            }
            Tab::Keys => {
                let keys = self.keys()?;
                let row = keys.rows.get(place)?;
                let stats = row.stats.and_then(|place| self.recent()?.stats.keys.get(place));
                let share = stats.map_or(0.0, |stats| ratio(stats.counters.attempts, self.attempts));
                let weight = if row.key.enabled { u64::from(u32::from(row.key.weight)) } else { 0 };
                Some(Record::Key { row, stats, share, due: ratio(weight, keys.weights) })
            }
            Tab::Models => {
                let model = self.recent()?.stats.models.get(place)?;
                Some(Record::Model(model, ratio(model.counters.attempts, self.attempts)))
            }
            Tab::Events => {
                let event = self.data.events.get(place)?.as_ref();
                let pool = self.data.pool(&event.pool).map_or(event.pool.as_str(), |pool| &pool.name);
                let key = self.masked.get(&event.key).copied().unwrap_or(event.key.as_str());
                Some(Record::Event { event, pool, key })
            }
            Tab::ClientKeys => {
                let key = self.client_keys().get(place)?;
                let counted = self.recent().map_or(&[][..], |recent| &recent.stats.client_keys);
                Some(Record::ClientKey(key, counted.iter().find(|row| row.client_key == key.id)))
            }
        }
    }

    fn recent(&self) -> Option<&'a Recent> {
        self.data.recent.get(self.pool?).map(AsRef::as_ref)
    }

    fn keys(&self) -> Option<&'a Keys> {
        self.data.keys.as_deref().filter(|keys| Some(&keys.pool) == self.pool)
    }

    fn client_keys(&self) -> &'a [ClientKey] {
        match &self.data.client_keys {
            Some((pool, keys)) if Some(pool) == self.pool => keys,
            _ => &[],
        }
    }
}

/// Returns a column's title, with an arrow if the rows are sorted by it.
pub fn title(column: &Column, sort: Sort) -> Cow<'static, str> {
    match sort {
        Sort { field, descending } if field == column.field => {
            Cow::Owned(format!("{}{}", column.title, if descending { "▼" } else { "▲" }))
        }
        _ => Cow::Borrowed(column.title),
    }
}
