SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA dataapi;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE dataapi.api_key (
    name text NOT NULL COLLATE pg_catalog."C",
    roles smallint NOT NULL,
    languages text[],
    customers text,
    hash bytea NOT NULL,
    created bigint NOT NULL,
    expires bigint,
    revoked bigint,
    last_used bigint,
    CONSTRAINT api_key_hash_check CHECK ((length(hash) = 32))
);
CREATE TABLE dataapi.chain (
    shard integer NOT NULL,
    number smallint NOT NULL,
    "position" bigint NOT NULL,
    hash bytea NOT NULL,
    date bigint NOT NULL,
    CONSTRAINT chain_hash_check CHECK ((length(hash) = 32))
)
WITH (fillfactor='50');
CREATE TABLE dataapi.dialog (
    ref bytea NOT NULL,
    date bigint NOT NULL,
    "position" bigint,
    shard integer NOT NULL,
    state smallint NOT NULL,
    chain smallint,
    is_imported boolean DEFAULT false NOT NULL,
    dialog_id text COLLATE pg_catalog."C",
    customer_id text COLLATE pg_catalog."C",
    language text COLLATE pg_catalog."C",
    text text COLLATE pg_catalog."C",
    CONSTRAINT dialog_check CHECK (((state = ANY (ARRAY[1, 2])) = ((text IS NOT NULL) AND (dialog_id IS NOT NULL) AND (customer_id IS NOT NULL) AND (language IS NOT NULL)))),
    CONSTRAINT dialog_check1 CHECK (((state = ANY (ARRAY[1, 2])) OR ((text IS NULL) AND (dialog_id IS NULL) AND (customer_id IS NULL) AND (language IS NULL)))),
    CONSTRAINT dialog_ref_check CHECK ((length(ref) = 32))
);
ALTER TABLE ONLY dataapi.dialog ALTER COLUMN dialog_id SET STATISTICS 0;
ALTER TABLE ONLY dataapi.dialog ALTER COLUMN customer_id SET STATISTICS 0;
ALTER TABLE ONLY dataapi.dialog ALTER COLUMN text SET STATISTICS 0;
CREATE TABLE dataapi.early_grant (
    ref bytea NOT NULL,
    shard integer NOT NULL,
    date bigint NOT NULL,
    until bigint NOT NULL,
    notice text COLLATE pg_catalog."C",
    method text COLLATE pg_catalog."C",
    locale text COLLATE pg_catalog."C",
    CONSTRAINT early_grant_ref_check CHECK ((length(ref) = 32))
);
CREATE TABLE dataapi.event (
    shard integer NOT NULL,
    chain smallint NOT NULL,
    "position" bigint NOT NULL,
    ref bytea NOT NULL,
    kind smallint NOT NULL,
    date bigint NOT NULL,
    notice text COLLATE pg_catalog."C",
    method text COLLATE pg_catalog."C",
    locale text COLLATE pg_catalog."C",
    hash bytea NOT NULL,
    CONSTRAINT event_hash_check CHECK ((length(hash) = 32)),
    CONSTRAINT event_ref_check CHECK ((length(ref) = 32))
);
CREATE UNLOGGED TABLE dataapi.life (
    only_row smallint NOT NULL,
    id bigint NOT NULL,
    CONSTRAINT life_only_row_check CHECK ((only_row = 1))
);
CREATE TABLE dataapi.migration (
    version integer NOT NULL,
    applied timestamp with time zone NOT NULL
);
CREATE TABLE dataapi.past_chain (
    number smallint NOT NULL,
    "position" bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT past_chain_hash_check CHECK ((length(hash) = 32))
);
CREATE TABLE dataapi.store (
    only_row smallint NOT NULL,
    ref_key bytea NOT NULL,
    CONSTRAINT store_only_row_check CHECK ((only_row = 1)),
    CONSTRAINT store_ref_key_check CHECK ((length(ref_key) = 32))
);
CREATE TABLE dataapi.tally (
    shard integer NOT NULL,
    state smallint NOT NULL,
    language text NOT NULL COLLATE pg_catalog."C",
    n bigint NOT NULL
);
CREATE TABLE dataapi.transfer (
    only_row smallint NOT NULL,
    fingerprint bytea NOT NULL,
    positions text NOT NULL,
    rows bigint NOT NULL,
    digest bytea NOT NULL,
    bookmark bytea NOT NULL,
    CONSTRAINT transfer_digest_check CHECK ((length(digest) = 32)),
    CONSTRAINT transfer_fingerprint_check CHECK ((length(fingerprint) = 32)),
    CONSTRAINT transfer_only_row_check CHECK ((only_row = 1))
);
INSERT INTO dataapi.chain VALUES (0, 4, 0, '\x0000000000000000000000000000000000000000000000000000000000000000', 1772366417123456);
INSERT INTO dataapi.chain VALUES (1, 5, 0, '\x0000000000000000000000000000000000000000000000000000000000000000', 1772366417123456);
INSERT INTO dataapi.event VALUES (0, 0, 1, '\xaec61c614207422aefb50000aefa85f51dbe2a6ffd67fea0e84bc54b4c8b346b', 1, 1772366406123456, 'notice 7', 'button', 'en-GB', '\x7a5b5ee3fa9cad7e65a8989fe1d596039e7ee0243528f6ae5a43cc9badc95bcc');
INSERT INTO dataapi.event VALUES (0, 0, 2, '\x4794b6e06215fb8ee2b4e92706caa4ffa18cf0ce0a3e575d4d03353d2c306d00', 1, 1772366407123456, 'notice 7', 'button', 'en-GB', '\x79de0dd29842022fd7aef8bf35c01a6c054cb38d41e7c9c4f291346812940d8c');
INSERT INTO dataapi.event VALUES (0, 0, 3, '\x2eae73269756f4ad6162c53dc7ce28cf4919d1edd58d2185f9751fce07301164', 2, 1772366409123456, NULL, NULL, NULL, '\x96a1ba412059cead06b8bd99b49f5836a35314f07808ab931689ca116b609b30');
INSERT INTO dataapi.event VALUES (1, 1, 1, '\xb365893a7cd67a6db15373ad00d4aeed928a8d812225db3a0d7d830795f82208', 1, 1772366408123456, 'notice 7', 'button', 'en-GB', '\x07a48feaa39f4c872b78130a1382998c4f2bf734b6a31562f0d5f2a8d6bbf46d');
INSERT INTO dataapi.event VALUES (0, 2, 1, '\x4794b6e06215fb8ee2b4e92706caa4ffa18cf0ce0a3e575d4d03353d2c306d00', 2, 1772366410123456, 'notice 7', 'button', 'en-GB', '\x6b14a43a4f87a2eab5b49145ad9f72e67c2a169bfc2ab7ee2643012ca69a2c03');
INSERT INTO dataapi.event VALUES (0, 2, 2, '\xbad0ccbb655bf348ebc5803597c5ab0faeed9c4e5780058272900ce58bb830eb', 1, 1772366410123456, 'notice 7', 'button', 'en-GB', '\x5572b29534a81a587fb49d314e22d774eb7a0fb1bf82e7e059e8ac0679f9193f');
INSERT INTO dataapi.event VALUES (0, 2, 3, '\x6b3cbb6573af55b0d3ce8eebef56a66c5759ea1d7c14654edb3c0d78f69b29f5', 4, 1772366411123456, NULL, NULL, NULL, '\x7ba8bbe6cd91314359261836e1045d3efae4c7b97800ab24aceb20cad84acaef');
INSERT INTO dataapi.event VALUES (0, 2, 4, '\x9fc438bdf8ffd6e9da30d01bfcdf53be39d716794519145f36e17423c499db2b', 1, 1772366411123456, NULL, 'import', NULL, '\xcc31b0e92e2ee38dfa90d961e702b92905448878e0f41fb703dbb578e0520fe5');
INSERT INTO dataapi.event VALUES (0, 2, 5, '\x67708762f6a3d98ecc8d0914a96868a64bc36b2a05375be17e40843c9a96446d', 2, 1772366413123456, 'notice 7', 'button', 'en-GB', '\xbb3796ce6b9afcf80fd8e83880b0153c8a5924c9c53a89dcce9ac66acb25f578');
INSERT INTO dataapi.event VALUES (0, 2, 6, '\x22ae5d3de9e484b5a4d97b947cc3fef6d7ffb4930b4633238125677577a5d4c7', 1, 1772366415123456, 'notice 7', 'button', 'en-GB', '\x55a274596d7b4491b2c8f4a69133196eb7f19fbe879ef9b50b3b8cd3d2f85487');
INSERT INTO dataapi.event VALUES (1, 3, 1, '\xb365893a7cd67a6db15373ad00d4aeed928a8d812225db3a0d7d830795f82208', 3, 1772366410123456, NULL, NULL, NULL, '\xda02a76a4155a1ea110e035a8e2d4a14fc8fd61341058d68aec49504017c4fc2');
INSERT INTO dataapi.migration VALUES (1, '2026-11-27 23:29:52.088187+00');
INSERT INTO dataapi.migration VALUES (2, '2026-11-27 23:29:52.088187+00');
INSERT INTO dataapi.past_chain VALUES (0, 3, '\x96a1ba412059cead06b8bd99b49f5836a35314f07808ab931689ca116b609b30');
INSERT INTO dataapi.past_chain VALUES (1, 1, '\x07a48feaa39f4c872b78130a1382998c4f2bf734b6a31562f0d5f2a8d6bbf46d');
INSERT INTO dataapi.past_chain VALUES (2, 6, '\x55a274596d7b4491b2c8f4a69133196eb7f19fbe879ef9b50b3b8cd3d2f85487');
INSERT INTO dataapi.past_chain VALUES (3, 1, '\xda02a76a4155a1ea110e035a8e2d4a14fc8fd61341058d68aec49504017c4fc2');
INSERT INTO dataapi.store VALUES (1, '\x3887ae3678c96a4ba1fa8537c1e293201d52412c99eb07011ac23380087b1e7e');
INSERT INTO dataapi.transfer VALUES (1, '\x485d66005f4ad088f65be471255f9d103953d401d4e7f332ef14b5cd395c5107', '3.1.6.1', 0, '\x0000000000000000000000000000000000000000000000000000000000000000', '\x');
ALTER TABLE ONLY dataapi.api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (name);
ALTER TABLE ONLY dataapi.chain
    ADD CONSTRAINT chain_pkey PRIMARY KEY (shard);
ALTER TABLE ONLY dataapi.dialog
    ADD CONSTRAINT dialog_pkey PRIMARY KEY (ref, shard);
ALTER TABLE ONLY dataapi.early_grant
    ADD CONSTRAINT early_grant_pkey PRIMARY KEY (ref, shard);
ALTER TABLE ONLY dataapi.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (shard, chain, "position");
ALTER TABLE ONLY dataapi.life
    ADD CONSTRAINT life_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY dataapi.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (version);
ALTER TABLE ONLY dataapi.past_chain
    ADD CONSTRAINT past_chain_pkey PRIMARY KEY (number);
ALTER TABLE ONLY dataapi.store
    ADD CONSTRAINT store_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY dataapi.transfer
    ADD CONSTRAINT transfer_pkey PRIMARY KEY (only_row);
CREATE INDEX consented ON dataapi.dialog USING btree (date DESC, dialog_id DESC) WHERE (state = 2);
CREATE INDEX consented_by_customer_language ON dataapi.dialog USING btree (customer_id, lower(language), date DESC, dialog_id DESC) WHERE (state = 2);
CREATE INDEX consented_by_language ON dataapi.dialog USING btree (lower(language), date DESC, dialog_id DESC) WHERE (state = 2);
CREATE INDEX early_grant_by_end ON dataapi.early_grant USING btree (until);
CREATE INDEX gone_by_date ON dataapi.dialog USING btree (date, "position") WHERE (state > 2);
CREATE INDEX held_by_customer ON dataapi.dialog USING btree (customer_id, date DESC, dialog_id DESC) INCLUDE (state) WHERE (state = ANY (ARRAY[1, 2]));
CREATE INDEX pending_by_date ON dataapi.dialog USING btree (date, dialog_id) WHERE (state = 1);
