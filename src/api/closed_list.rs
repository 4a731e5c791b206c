//! Words that users read, as closed lists: each is documented, and a test can go through them.

macro_rules! closed_list {
    (
        $(#[doc = $list_doc:literal])+ $(#[derive($($derive:ident),+)])?
        $list:ident { $($(#[doc = $doc:literal])+ $name:ident,)+ }
    ) => {
        $(#[doc = $list_doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash $($(, $derive)+)?)]
        pub enum $list { $($(#[doc = $doc])+ $name,)+ }

        impl $list {
            /// The whole list.
            pub const ALL: &[$list] = &[$($list::$name,)+];

            /// The word as users read it.
            pub const fn as_str(self) -> &'static str {
                match self { $($list::$name => stringify!($name),)+ }
            }
        }

        impl std::fmt::Display for $list {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(super) use closed_list;
