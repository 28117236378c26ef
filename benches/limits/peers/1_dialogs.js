// The collection, as PocketBase's documentation recommends. The list rule is the consent gate.
migrate((app) => {
  app.save(new Collection({
    type: "base",
    name: "dialogs",
    listRule: "consented = true",
    createRule: "",
    fields: [
      { type: "text", name: "dialog_id", required: true },
      { type: "text", name: "customer_id", required: true },
      { type: "text", name: "language", required: true },
      { type: "text", name: "text", required: true },
      { type: "bool", name: "consented" },
      { type: "autodate", name: "created", onCreate: true },
    ],
    indexes: [
      "CREATE UNIQUE INDEX dialog_by_id ON dialogs (dialog_id)",
      "CREATE INDEX consented ON dialogs (created DESC, id DESC) WHERE consented = 1",
    ],
  }));
});
