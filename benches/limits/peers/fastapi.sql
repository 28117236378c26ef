CREATE TABLE dialog (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dialog_id   text NOT NULL UNIQUE,
    customer_id text NOT NULL,
    language    text NOT NULL,
    text        text NOT NULL,
    consented   boolean NOT NULL DEFAULT false,
    date        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX consented ON dialog (date DESC, dialog_id DESC) WHERE consented;
