"""A service that a team might write itself: the same routes with FastAPI, asyncpg and PostgreSQL.

A page is read in the order of a partial index. Its total is counted, as is usual.
"""

import os
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel


@asynccontextmanager
async def lifespan(app: FastAPI):
    # Each worker has its own pool. Together they stay well below PostgreSQL's 100 connections.
    async with asyncpg.create_pool(os.environ["PEER_DATABASE"], min_size=8, max_size=16) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


class NewDialog(BaseModel):
    text: str
    language: str


class Dialog(NewDialog):
    dialog_id: str
    customer_id: str
    date: datetime


class Page(BaseModel):
    items: list[Dialog]
    total: int


@app.get("/health/ready")
async def ready() -> bool:
    return await app.state.pool.fetchval("SELECT true")


@app.post("/data/{customer_id}/{dialog_id}", status_code=201)
async def insert(customer_id: str, dialog_id: str, dialog: NewDialog) -> dict[str, str]:
    try:
        await app.state.pool.execute(
            "INSERT INTO dialog (dialog_id, customer_id, language, text) VALUES ($1, $2, $3, $4)",
            dialog_id,
            customer_id,
            dialog.language,
            dialog.text,
        )
    except asyncpg.UniqueViolationError:
        raise HTTPException(409) from None
    return {"dialog_id": dialog_id}


@app.get("/data/")
async def page(limit: int = 100) -> Page:
    async with app.state.pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT dialog_id, customer_id, language, text, date FROM dialog WHERE consented"
            " ORDER BY date DESC, dialog_id DESC LIMIT $1",
            limit,
        )
        total = await connection.fetchval("SELECT count(*) FROM dialog WHERE consented")
    return Page(items=[Dialog(**row) for row in rows], total=total)
