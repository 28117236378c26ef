//! The modules of one crate: what its files declare, define and import by name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::punctuated::Punctuated;
use syn::visit::Visit;
use syn::{Attribute, Expr, ExprLit, Item, ItemMod, ItemUse, Lit, Meta, Token, UseTree};

/// Reads a source file, if it is there.
pub(crate) type Read<'r> = &'r dyn Fn(&Path) -> Option<String>;

/// The root module of the crate.
pub(crate) const ROOT: usize = 0;

/// All modules, without those that only tests build.
pub(crate) struct Modules {
    pub(crate) all: Vec<Module>,
    /// The module that defines each macro of the crate. Every module finds a macro by its bare name.
    pub(crate) macros: BTreeMap<String, usize>,
}

/// One module, in its own file or inside another module.
pub(crate) struct Module {
    pub(crate) file: PathBuf,
    pub(crate) parent: usize,
    pub(crate) children: BTreeMap<String, usize>,
    /// The names that the module itself defines.
    pub(crate) defined: BTreeSet<String>,
    pub(crate) imports: Vec<Import>,
    pub(crate) items: Vec<Item>,
    /// Where `mod name;` looks for `name.rs`.
    folder: PathBuf,
}

/// One name that a `use` imports, or all names of a module.
pub(crate) struct Import {
    /// `None` for `*`.
    pub(crate) name: Option<String>,
    pub(crate) path: Vec<String>,
}

impl Modules {
    /// Reads the crate whose first file is `root`.
    pub(crate) fn read(root: &Path, read: Read<'_>) -> Self {
        let mut modules = Self { all: Vec::new(), macros: BTreeMap::new() };
        let folder = root.parent().unwrap_or(Path::new("")).to_owned();
        modules.add_file(root, folder, ROOT, read);
        modules
    }

    fn add_file(&mut self, file: &Path, folder: PathBuf, parent: usize, read: Read<'_>) -> usize {
        let source = read(file).unwrap_or_else(|| panic!("cannot read {}", file.display()));
        let parsed = syn::parse_file(&source);
        let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.add(file, folder, parent, parsed.items, read)
    }

    fn add(
        &mut self,
        file: &Path,
        folder: PathBuf,
        parent: usize,
        items: Vec<Item>,
        read: Read<'_>,
    ) -> usize {
        let number = self.all.len();
        let items: Vec<_> = items.into_iter().filter(|item| !is_test(attributes(item))).collect();
        self.all.push(Module {
            file: file.to_owned(),
            parent,
            children: BTreeMap::new(),
            defined: items.iter().filter_map(name).collect(),
            imports: items.iter().flat_map(imports).collect(),
            items: Vec::new(),
            folder,
        });
        for item in &items {
            if let Item::Mod(module) = item {
                let name = plain(&module.ident);
                let child = self.add_child(number, &name, module, read);
                self.all[number].children.insert(name, child);
            }
            if let Item::Macro(made) = item
                && let Some(ident) = &made.ident
            {
                self.macros.insert(ident.to_string(), number);
            }
        }
        // The content of an inner module is examined there.
        self.all[number].items =
            items.into_iter().filter(|item| !matches!(item, Item::Mod(_))).collect();
        number
    }

    fn add_child(&mut self, parent: usize, name: &str, module: &ItemMod, read: Read<'_>) -> usize {
        let (file, folder) = (self.all[parent].file.clone(), self.all[parent].folder.clone());
        if let Some((_, items)) = &module.content {
            return self.add(&file, folder.join(name), parent, items.clone(), read);
        }
        if let Some(path) = text(&module.attrs, "path") {
            let file = file.with_file_name(path);
            let folder = file.parent().unwrap_or(Path::new("")).to_owned();
            return self.add_file(&file, folder, parent, read);
        }
        let beside = folder.join(format!("{name}.rs"));
        let file = if read(&beside).is_some() { beside } else { folder.join(name).join("mod.rs") };
        self.add_file(&file, folder.join(name), parent, read)
    }
}

impl Module {
    /// Whether this is the front of a folder or a crate, which can pass names on.
    pub(crate) fn is_front(&self) -> bool {
        ["mod.rs", "lib.rs"].iter().any(|front| self.file.ends_with(front))
    }
}

/// Whether these attributes limit something to tests.
pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => {
            list.parse_args::<Meta>().is_ok_and(|condition| wants_test(&condition))
        }
        _ => false,
    })
}

fn wants_test(condition: &Meta) -> bool {
    let Meta::List(list) = condition else { return condition.path().is_ident("test") };
    let inner = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
    let inner = inner.unwrap_or_default();
    if list.path.is_ident("all") {
        inner.iter().any(wants_test)
    } else {
        list.path.is_ident("any") && inner.iter().all(wants_test)
    }
}

/// The text in `#[name = "text"]`.
fn text(attributes: &[Attribute], name: &str) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident(name) => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    })
}

pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::ExternCrate(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::TraitAlias(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Union(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

/// The name that an item has in its module. Modules and imports are recorded separately.
fn name(item: &Item) -> Option<String> {
    Some(plain(match item {
        Item::Const(it) => &it.ident,
        Item::Enum(it) => &it.ident,
        Item::Fn(it) => &it.sig.ident,
        Item::Macro(it) => it.ident.as_ref()?,
        Item::Static(it) => &it.ident,
        Item::Struct(it) => &it.ident,
        Item::Trait(it) => &it.ident,
        Item::TraitAlias(it) => &it.ident,
        Item::Type(it) => &it.ident,
        Item::Union(it) => &it.ident,
        _ => return None,
    }))
}

/// Imports inside functions count as imports of the module.
fn imports(item: &Item) -> Vec<Import> {
    struct Uses(Vec<Import>);

    impl<'ast> Visit<'ast> for Uses {
        fn visit_item_use(&mut self, item: &'ast ItemUse) {
            // A path that begins with `::` belongs to another crate.
            if item.leading_colon.is_none() {
                spread(&item.tree, &mut Vec::new(), &mut self.0);
            }
        }

        /// It has its own imports.
        fn visit_item_mod(&mut self, _: &'ast ItemMod) {}
    }

    let mut uses = Uses(Vec::new());
    uses.visit_item(item);
    uses.0
}

/// Takes a tree of imports apart.
pub(crate) fn spread(tree: &UseTree, before: &mut Vec<String>, found: &mut Vec<Import>) {
    let import = |name: Option<String>, last: Option<String>| {
        // `a::{self}` is `a`.
        let path = before.iter().cloned().chain(last.filter(|last| last != "self")).collect();
        Import { name, path }
    };
    match tree {
        UseTree::Path(path) => {
            before.push(plain(&path.ident));
            spread(&path.tree, before, found);
            before.pop();
        }
        UseTree::Group(group) => {
            group.items.iter().for_each(|tree| spread(tree, before, found));
        }
        UseTree::Name(name) => {
            let last = plain(&name.ident);
            let name = if last == "self" { before.last().cloned() } else { Some(last.clone()) };
            found.push(import(name, Some(last)));
        }
        UseTree::Rename(rename) => {
            found.push(import(Some(plain(&rename.rename)), Some(plain(&rename.ident))));
        }
        UseTree::Glob(_) => found.push(import(None, None)),
    }
}

/// A name as it is looked up: `r#type` is `type`.
pub(crate) fn plain(ident: &proc_macro2::Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}
