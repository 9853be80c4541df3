// The page of the API: Swagger UI, around the document this server sends.
const main = document.getElementById("api");
SwaggerUIBundle({ url: main.dataset.document, domNode: main, deepLinking: true, validatorUrl: null });
